"""Measurements of CoLaNET beside what else classifies features, and an encoder to measure it behind."""
