#include "lattice.h"

#include <algorithm>

namespace mimic {

int32_t Lattice::states() const {
  int32_t most = 0;
  for (int32_t state : source) most = std::max(most, state);
  for (int32_t state : target) most = std::max(most, state);
  for (const auto& end : final) most = std::max(most, end.first);
  return most + 1;
}

std::vector<int32_t> Lattice::topological() const {
  const int32_t number = states();
  std::vector<int32_t> waiting(number, 0), ready, out;
  std::vector<int64_t> first(number + 1, 0);
  for (int32_t state : target) ++waiting[state];
  for (int32_t state : source) ++first[state + 1];
  for (int32_t state = 0; state < number; ++state) first[state + 1] += first[state];
  std::vector<int32_t> leaving(source.size());
  std::vector<int64_t> next(first.begin(), first.end() - 1);
  for (size_t arc = 0; arc < source.size(); ++arc) leaving[next[source[arc]]++] = target[arc];
  for (int32_t state = number; state-- > 0;) {
    if (waiting[state] == 0) ready.push_back(state);
  }
  while (!ready.empty()) {
    const int32_t state = ready.back();
    ready.pop_back();
    out.push_back(state);
    for (int64_t arc = first[state]; arc < first[state + 1]; ++arc) {
      if (--waiting[leaving[arc]] == 0) ready.push_back(leaving[arc]);
    }
  }
  return out;
}

void Lattice::connect() {
  const std::vector<int32_t> order = topological();
  std::vector<int32_t> place(states(), 0);
  std::vector<std::vector<int32_t>> into(place.size());
  for (size_t arc = 0; arc < source.size(); ++arc) into[target[arc]].push_back(source[arc]);
  for (const auto& end : final) place[end.first] = 1;
  for (size_t i = order.size(); i-- > 0;) {
    if (place[order[i]] == 0) continue;
    for (int32_t state : into[order[i]]) place[state] = 1;
  }
  place[0] = 1;
  const std::vector<int32_t> alive = place;
  int32_t number = 0;
  for (size_t state = 0; state < place.size(); ++state) {
    place[state] = number;
    number += alive[state];
  }
  size_t kept = 0;
  for (size_t arc = 0; arc < source.size(); ++arc) {
    if (alive[target[arc]] == 0) continue;
    source[kept] = place[source[arc]];
    target[kept] = place[target[arc]];
    word[kept] = word[arc];
    weight[kept++] = weight[arc];
  }
  source.resize(kept);
  target.resize(kept);
  word.resize(kept);
  weight.resize(kept);
  for (auto& end : final) end.first = place[end.first];
}

}  // namespace mimic
