// The inputs of a vision tower. What vision/positions.h says of each patch is computed by nodes, from the grid alone:
// whoever runs the graph needs pixels and nothing else. The arithmetic is that of transformers, in fp32.
#include "onnx/lowering.h"

namespace duan::onnx {
namespace {

constexpr int32_t kI64 = pb::TensorProto::INT64, kF32 = pb::TensorProto::FLOAT;

Name on_axis(int axis, const char* what) { return Name(kImageGrid) + (axis == 1 ? "/y" : "/x") + what; }

}  // namespace

void Lowering::declare_tower_inputs() {
  const Name pixels{ir::kPixelValues}, grid = kImageGrid, table_rows{ir::kTableRows}, table_shares{ir::kTableShares};
  b_.input(pixels, kF32, {"patches", tower_->patch_values()});
  b_.input(grid, kI64, {1, 3});
  tokens_ = grid;

  const Name flat = b_.node("Reshape", grid + "/flat", {grid, b_.ints({3})});
  const auto side = [&](int64_t index, const char* which) {  // [1]
    return b_.node("Gather", grid + which, {flat, b_.ints({index})}, {{"axis", int64_t{0}}});
  };
  const Name frames = side(0, "/frames"), rows = side(1, "/y/count"), columns = side(2, "/x/count");
  const std::vector<Attr> joined{{"axis", int64_t{0}}};
  b_.node("Concat", grid + "/shape", {frames, b_.node("Mul", grid + "/frame_patches", {rows, columns})}, joined);
  const int64_t merge = tower_->spatial_merge_size;
  const Name blocks_y = b_.node("Div", grid + "/y/blocks", {rows, b_.ints({merge})}),
             blocks_x = b_.node("Div", grid + "/x/blocks", {columns, b_.ints({merge})});
  b_.node("Concat", grid + "/patches", {frames, blocks_y, blocks_x, b_.ints({merge, merge})}, joined);

  const Name y = patch_coordinate(1), x = patch_coordinate(2), last = b_.ints({-1});
  const auto [entries_y, shares_y] = between_entries(1);
  const auto [entries_x, shares_x] = between_entries(2);
  // For each pair of a row and a column of the table.
  const auto pairs = [&](const char* op, const Name& name, const Name& of_y, const Name& of_x) {
    const Name down = b_.node("Unsqueeze", name + "/down", {of_y, b_.ints({2})});
    const Name right = b_.node("Unsqueeze", name + "/right", {of_x, b_.ints({1})});
    return b_.node("Reshape", name, {b_.node(op, name + "/pairs", {down, right}), b_.ints({-1, 4})});
  };
  const Name first_of_row =
      b_.node("Mul", table_rows + "/first_of_row", {entries_y, b_.ints({tower_->position_side()})});
  pairs("Add", table_rows, first_of_row, entries_x);
  pairs("Mul", table_shares, shares_y, shares_x);

  const Name positions = Name(ir::kPatchPositions) + "/rows";
  b_.node("Concat", positions,
          {b_.node("Unsqueeze", positions + "/y", {y + "_f32", last}),
           b_.node("Unsqueeze", positions + "/x", {x + "_f32", last})},
          {{"axis", int64_t{1}}});
  for (const ir::ValueId id : graph_.inputs) {
    const Name& name = graph_.value(id).name;
    const bool is_float = name == ir::kPixelValues || name == ir::kTableShares;
    names_[static_cast<size_t>(id)] = is_float ? to_activation(name + "_f16", name) : name;
  }
}

Name Lowering::patch_coordinate(int axis) {
  const int64_t merge = tower_->spatial_merge_size;
  const Name count = b_.node("Squeeze", on_axis(axis, "/end"), {on_axis(axis, "/count")});
  const Name all = b_.node("Range", on_axis(axis, "/all"), {b_.int_scalar(0), count, b_.int_scalar(1)});
  // Of [frames, blocks down, blocks right, patches down, patches right], the dimensions from this axis' blocks on.
  const Name shape = axis == 1 ? b_.ints({-1, 1, merge, 1}) : b_.ints({-1, 1, merge});
  const Name blocks = b_.node("Reshape", on_axis(axis, "/by_block"), {all, shape});
  const Name spread = b_.node("Expand", on_axis(axis, "/spread"), {blocks, Name(kImageGrid) + "/patches"});
  const Name coordinate = b_.node("Reshape", on_axis(axis, ""), {spread, b_.ints({-1})});
  b_.node("Cast", coordinate + "_f32", {coordinate}, {{"to", int64_t{kF32}}});
  return coordinate;
}

std::pair<Name, Name> Lowering::between_entries(int axis) {
  const int64_t last = tower_->position_side() - 1;
  const Name one = b_.float_scalar(1, kF32);
  // src = index * (side - 1) / clamp(size - 1, min=1)
  const Name below = b_.node("Sub", on_axis(axis, "/below"), {on_axis(axis, "/count"), b_.ints({1})});
  const Name clamped = b_.node("Max", on_axis(axis, "/clamped"), {below, b_.ints({1})});
  const Name size = b_.node("Cast", on_axis(axis, "/size"), {clamped}, {{"to", int64_t{kF32}}});
  const Name scaled = b_.node("Mul", on_axis(axis, "/scaled"),
                              {on_axis(axis, "_f32"), b_.float_scalar(static_cast<float>(last), kF32)});
  const Name at = b_.node("Div", on_axis(axis, "/at"), {scaled, size});
  const Name floor = b_.node("Floor", on_axis(axis, "/floor"), {at});

  const auto two = [&](const char* what, const Name& first, const Name& second) {  // [patches, 2]
    const Name name = on_axis(axis, what), end = b_.ints({-1});
    return b_.node(
        "Concat", name,
        {b_.node("Unsqueeze", name + "_first", {first, end}), b_.node("Unsqueeze", name + "_second", {second, end})},
        {{"axis", int64_t{1}}});
  };
  const Name first = b_.node("Cast", on_axis(axis, "/first"), {floor}, {{"to", int64_t{kI64}}});
  const Name next = b_.node("Add", on_axis(axis, "/next"), {first, b_.ints({1})});
  const Name second = b_.node("Min", on_axis(axis, "/second"), {next, b_.ints({last})});
  const Name beyond = b_.node("Sub", on_axis(axis, "/beyond"), {at, floor});
  const Name near = b_.node("Sub", on_axis(axis, "/near"), {one, beyond});
  const Name far = b_.node("Sub", on_axis(axis, "/far"), {one, near});
  return {two("/entries", first, second), two("/shares", near, far)};
}

}  // namespace duan::onnx
