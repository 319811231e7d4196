"""What every PyTorch backend needs, public: the order of rows, what is due when, optimizer and schedule, evaluation,
the best model, checkpoints, and a process left as it was. The one wing of ftrun that imports torch.
"""
