"""Networks, the preprocessing layer, the registry and the LightningModule around any of them."""
