"""A trained network at work outside of the notebooks: masks and cut-outs of files, ONNX."""
