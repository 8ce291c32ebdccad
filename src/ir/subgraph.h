// Part of a graph as a graph of its own: one decoder block at a time, for models larger than memory.
#pragma once

#include <vector>

#include "ir/graph.h"

namespace duan::ir {

// Node numbers, ascending from 0 to the number of nodes, between which subgraphs can be made: after the embedding and
// after each sum on the residual stream, where one value alone is carried on.
std::vector<NodeId> cut_points(const Graph& graph);

// Nodes [first, last) and, before them, nodes that hold no weights and follow from the graph's inputs alone (angles),
// if they are read. Its inputs are those of the graph that it reads, then the value it is handed, under its name in the
// graph; its output is the value read later. Throws InternalError if values other than one cross either end.
Graph subgraph(const Graph& graph, NodeId first, NodeId last);

// What it takes to make one value of the graph, which becomes the output.
Graph up_to(const Graph& graph, ValueId value);

}  // namespace duan::ir
