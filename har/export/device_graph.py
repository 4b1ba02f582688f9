"""What the device computes: preprocessing, network and softmax as one module."""

import torch
from torch import Tensor, nn

from har.models.classifier import ActivityClassifier


class DeviceGraph(nn.Module):
    """Raw sensor windows in, probabilities out: the very frontend and network that were trained."""

    def __init__(self, classifier: ActivityClassifier) -> None:
        super().__init__()
        self.frontend = classifier.frontend
        self.network = classifier.network
        self.eval()

    def forward(self, windows: Tensor) -> Tensor:
        """(batch, time, channel) in g and rad/s -> (batch, num_classes) probabilities."""
        return torch.softmax(self.network(self.frontend(windows)), dim=1)
