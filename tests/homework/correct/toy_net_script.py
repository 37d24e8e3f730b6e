import numpy as np

# a minibatch of data
N, D, H, C = 6, 4, 5, 3
X = np.random.randn(N, D)
y = np.random.randint(C, size=N)
reg = 1e-3

# initialize parameters randomly
W = 0.5 * np.random.randn(D, H)
b = np.zeros((1, H))
W2 = 0.5 * np.random.randn(H, C)
b2 = np.zeros((1, C))

# evaluate class scores, [N x K]
hidden_layer = np.maximum(0, np.dot(X, W) + b) # note, ReLU activation
scores = np.dot(hidden_layer, W2) + b2

# compute the class probabilities
exp_scores = np.exp(scores)
probs = exp_scores / np.sum(exp_scores, axis=1, keepdims=True) # [N x K]

# compute the loss: average cross-entropy loss and regularization
correct_logprobs = -np.log(probs[range(N), y])
data_loss = np.sum(correct_logprobs) / N
reg_loss = 0.5 * reg * np.sum(W * W) + 0.5 * reg * np.sum(W2 * W2)
loss = data_loss + reg_loss

# compute the gradient on scores
dscores = probs.copy()
dscores[range(N), y] -= 1
dscores /= N

# backpropate the gradient to the parameters
# first backprop into parameters W2 and b2
dW2 = np.dot(hidden_layer.T, dscores)
db2 = np.sum(dscores, axis=0, keepdims=True)
# next backprop into hidden layer
dhidden = np.dot(dscores, W2.T)
# backprop the ReLU non-linearity
dhidden[hidden_layer <= 0] = 0
# finally into W,b
dW = np.dot(X.T, dhidden)
db = np.sum(dhidden, axis=0, keepdims=True)

# add regularization gradient contribution
dW2 += reg * W2
dW += reg * W
