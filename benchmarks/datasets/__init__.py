"""The data sets behind the streams: where they lie, how they are downloaded and loaded."""
