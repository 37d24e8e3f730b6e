import numpy as np

RATE = 0.1
