"""What every stream is made with: samples, options, orders, the builder and the contract."""
