"""A store made of code: shelves, shoppers, cameras, with ground truth."""
