// The known word nearest to a mistyped one.
#pragma once

#include <string>
#include <vector>

namespace duan::cli {

// The word of `known` with the smallest edit distance (insert, delete, replace, swap neighbours) to `typed`; "" if even
// that differs in more than a third of its letters.
std::string nearest(const std::string& typed, const std::vector<std::string>& known);

}  // namespace duan::cli
