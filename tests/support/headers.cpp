// Owns the headers that are compiled once for all test programs (tests/CMakeLists.txt); it has no test of its own.
