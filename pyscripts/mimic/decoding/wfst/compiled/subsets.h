// Subsets of a lattice's states, each with what is left of the way to it, and tables of them.

#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <unordered_map>
#include <utility>
#include <vector>

#include "weights.h"

namespace mimic {

constexpr double kDelta = 1.0 / 1024;  // DELTA of determinize.py

struct Element {
  int32_t state;
  Weight weight;
};
using Subset = std::vector<Element>;  // sorted by state

// A table whose keys are subsets; costs may differ by rounding.
template <typename Value>
class Subsets {
 public:
  const Value* find(const Subset& subset) const {
    const auto found = places_.find(hash(subset));
    if (found == places_.end()) return nullptr;
    for (int32_t place : found->second) {
      if (same(entries_[place].first, subset)) return &entries_[place].second;
    }
    return nullptr;
  }

  void add(Subset subset, Value value) {
    places_[hash(subset)].push_back(static_cast<int32_t>(entries_.size()));
    entries_.emplace_back(std::move(subset), value);
  }

 private:
  static uint64_t hash(const Subset& subset) {
    uint64_t value = subset.size();
    const auto mix = [&value](uint64_t part) {
      value = (value ^ part) * 0x9E3779B97F4A7C15U;
      value ^= value >> 29;
    };
    for (const Element& element : subset) {
      mix(static_cast<uint32_t>(element.state));
      for (int32_t i = 0; i < element.weight.ids.size; ++i) mix(static_cast<uint32_t>(element.weight.ids.begin[i]));
    }
    return value;
  }

  static bool same(const Subset& a, const Subset& b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const Element& one, const Element& other) {
      return one.state == other.state && std::abs(one.weight.total - other.weight.total) <= kDelta &&
             one.weight.ids == other.weight.ids;
    });
  }

  std::unordered_map<uint64_t, std::vector<int32_t>> places_;  // in the order in which they came
  std::vector<std::pair<Subset, Value>> entries_;
};

}  // namespace mimic
