"""TensorRT 10 and 11 and TensorRT for RTX: one adapter, their differences in one table (``flavours``)."""
