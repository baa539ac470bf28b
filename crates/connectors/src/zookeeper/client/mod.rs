//! The wire: sessions, trees that are followed, and writes.
