"""What the device computes: preprocessing, network, temperature and softmax as one module."""

import torch
from torch import Tensor, nn

from har.models.classifier import ActivityClassifier


class DeviceGraph(nn.Module):
    """Raw sensor windows in, probabilities out: the very frontend and network that were trained.

    Args:
        classifier: trained.
        temperature: by which logits are divided (Guo et al. 2017); 1 leaves them as they are, and the most probable activity stays
            the same at any.
    """

    def __init__(self, classifier: ActivityClassifier, temperature: float = 1.0) -> None:
        super().__init__()
        if not temperature > 0:
            raise ValueError(f"the temperature is {temperature}, expected a number above 0")
        self.frontend = classifier.frontend
        self.network = classifier.network
        self.temperature = temperature
        self.eval()

    def forward(self, windows: Tensor) -> Tensor:
        """(batch, time, channel) in g and rad/s -> (batch, num_classes) probabilities."""
        logits = self.network(self.frontend(windows))
        if self.temperature != 1.0:  # no operator on the device that does nothing
            logits = logits / self.temperature
        return torch.softmax(logits, dim=1)
