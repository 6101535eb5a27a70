"""The store's own certificate authority: who belongs to the shop's network, for how long, and who no longer does."""
