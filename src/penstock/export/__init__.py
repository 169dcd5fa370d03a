"""A trained network as ONNX graphs: needs torch and onnx; what runs the graphs needs neither."""
