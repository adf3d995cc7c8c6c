"""Base models: what one is, where it lies, how large it is and how it is loaded, for training and for generation alike.

It knows neither methods nor studies: whoever loads says in which precision and on which device.
"""
