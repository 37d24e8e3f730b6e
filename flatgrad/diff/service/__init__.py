"""What runs inside the sandbox: an instrumented homework, as often as the judge asks. It loads without the package."""
