"""What conversion from ANN to SNN costs and keeps: small networks trained here, published ones, and other tools."""
