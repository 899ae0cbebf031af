"""Prints the reference values of the optimizer's tests: three steps of PyTorch's optimizers."""
import torch

for name, make in [
    ("ADAMW", lambda p: torch.optim.AdamW(p, lr=0.1, betas=(0.9, 0.99), weight_decay=0.01)),
    ("RMSPROP", lambda p: torch.optim.RMSprop(p, lr=0.1, alpha=0.99, weight_decay=0.01)),
]:
    value = torch.tensor([1.0, -2.0], requires_grad=True)
    optimizer = make([value])
    for gradient in [[0.5, -1.0], [0.25, 3.0], [-1.0, 0.125]]:
        value.grad = torch.tensor(gradient)
        optimizer.step()
    print(f"const {name}: [f32; 2] = {[round(v, 7) for v in value.tolist()]};")
