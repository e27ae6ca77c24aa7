"""Forecasts of a Mackey-Glass series by spiking networks, beside NeuroBench's networks on the same series."""
