"""The store's memory: folds what the nodes say into the state of the store, and drives displays and alerts."""
