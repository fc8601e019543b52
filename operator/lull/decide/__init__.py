"""The decisions, each a small pure module, vectorised over the fleet."""
