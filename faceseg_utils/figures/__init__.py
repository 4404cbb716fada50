"""Static figures: plots in one style, and the diagram of a U-Net drawn from the live model."""
