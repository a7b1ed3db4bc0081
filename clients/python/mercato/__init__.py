"""Client of Mercato."""
