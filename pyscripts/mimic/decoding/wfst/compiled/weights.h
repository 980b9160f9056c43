// Costs and transition ids of arcs, and the memory in which the ids lie.

#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

namespace mimic {

struct Ids {  // transition ids; they lie in a lattice or a Pool
  const int32_t* begin = nullptr;
  int32_t size = 0;
};

inline bool operator==(const Ids& a, const Ids& b) {
  return a.size == b.size && (a.size == 0 || std::memcmp(a.begin, b.begin, sizeof(int32_t) * a.size) == 0);
}

inline bool operator<(const Ids& a, const Ids& b) {  // as Python compares bytes
  const int32_t common = std::min(a.size, b.size);
  const int order = common == 0 ? 0 : std::memcmp(a.begin, b.begin, sizeof(int32_t) * common);
  return order != 0 ? order < 0 : a.size < b.size;
}

// Memory for transition ids that is given back as a whole.
class Pool {
 public:
  Ids joined(const Ids& first, const Ids& second) {
    if (second.size == 0) return first;
    if (first.size == 0) return second;
    int32_t* place = take(first.size + second.size);
    std::copy_n(first.begin, first.size, place);
    std::copy_n(second.begin, second.size, place + first.size);
    return {place, first.size + second.size};
  }

  Ids copied(const Ids& ids) {
    if (ids.size == 0) return {};
    int32_t* place = take(ids.size);
    std::copy_n(ids.begin, ids.size, place);
    return {place, ids.size};
  }

  void clear() {
    block_ = 0;
    used_ = 0;
  }

 private:
  static constexpr size_t kBlock = 1 << 14;  // ids

  int32_t* take(size_t size) {
    while (block_ < blocks_.size() && used_ + size > blocks_[block_].size()) {
      ++block_;
      used_ = 0;
    }
    if (block_ == blocks_.size()) blocks_.emplace_back(std::max(size, kBlock));
    used_ += size;
    return blocks_[block_].data() + used_ - size;
  }

  std::vector<std::vector<int32_t>> blocks_;
  size_t block_ = 0, used_ = 0;
};

struct Weight {  // scaled total and graph cost, transition ids
  double total = 0, graph = 0;
  Ids ids;
};

inline bool operator<(const Weight& a, const Weight& b) {
  if (a.total != b.total) return a.total < b.total;
  if (a.graph != b.graph) return a.graph < b.graph;
  return a.ids < b.ids;
}

inline Weight after(const Weight& first, const Weight& second, Pool* pool) {
  return {first.total + second.total, first.graph + second.graph, pool->joined(first.ids, second.ids)};
}

}  // namespace mimic
