class Scale:
    __slots__ = ("w",)

    def forward(self, x):
        return x * self.w
