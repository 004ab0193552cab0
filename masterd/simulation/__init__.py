"""A cluster in virtual time: the real master core and allocator, agents and frameworks that behave by laws."""
