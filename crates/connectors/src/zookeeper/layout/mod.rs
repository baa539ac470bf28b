//! Between znodes and records, for each way in which services stand in a tree. Pure.
