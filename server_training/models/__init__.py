"""The networks: item encoders, backbones and decoding heads."""
