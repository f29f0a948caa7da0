"""Everything true of an architecture on paper: data, graph, cost, design space, ONNX. Torch only in `module`."""
