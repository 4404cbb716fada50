"""Parts of the networks that are not taught: pretrained encoders and how their input is normalised."""
