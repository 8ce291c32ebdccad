// Giving a vector's memory back.
#pragma once

#include <vector>

namespace duan {

// Assigning {} or calling clear() keeps the capacity.
template <typename T>
void free_memory(std::vector<T>& vector) {
  std::vector<T>().swap(vector);
}

}  // namespace duan
