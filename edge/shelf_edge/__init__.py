"""One node: cameras in, events out."""
