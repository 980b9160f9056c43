// Eight numbers at a time: one register of AVX2, two of SSE. (Of AVX-512 half a one, with which AMD is as fast.)

#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <thread>
#include <vector>

#define IN_PLACE __attribute__((always_inline))
#define INLINE inline IN_PLACE

constexpr int64_t LANES = 8;
typedef float Vector __attribute__((vector_size(4 * LANES)));
typedef int32_t Integers __attribute__((vector_size(4 * LANES)));
typedef int16_t Shorts __attribute__((vector_size(2 * LANES)));

INLINE int64_t padded(int64_t size) { return (size + LANES - 1) / LANES * LANES; }
INLINE void load(Vector& to, const float* from) { std::memcpy(&to, from, sizeof to); }
INLINE void store(float* to, const Vector& from) { std::memcpy(to, &from, sizeof from); }

// bfloat16: the upper half of a float, rounded to the nearest, to even at the same distance.
typedef uint16_t Bfloat;
typedef uint16_t Bfloats __attribute__((vector_size(2 * LANES)));
typedef uint32_t Bits __attribute__((vector_size(4 * LANES)));

INLINE void load(Vector& to, const Bfloat* from) {
  Bfloats upper;
  std::memcpy(&upper, from, sizeof upper);
  const Bits bits = __builtin_convertvector(upper, Bits) << 16;
  std::memcpy(&to, &bits, sizeof to);
}
INLINE void store(Bfloat* to, const Vector& from) {
  Bits bits;
  std::memcpy(&bits, &from, sizeof bits);
  bits = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  const Bfloats upper = __builtin_convertvector(bits, Bfloats);
  std::memcpy(to, &upper, sizeof upper);
}

template <class Number>
INLINE void copy(Number* to, const Number* from, int64_t size) {
  std::memcpy(to, from, size * sizeof(Number));
}

// x = e^x of -80 to 80, to 2e-7: 2^n e^r with |r| <= log(2) / 2, that by its Taylor polynomial. Of NaN, NaN.
INLINE void raise(Vector& x) {
  const Vector shifted = x * 1.44269504f + 12582912.0f;  // n in the last bits of a number of 1.5 * 2^23 and more
  const Vector n = shifted - 12582912.0f;
  const Vector r = (x - n * 0.693359375f) + n * 2.12194440e-4f;  // log(2) in two parts, the first one short
  Vector p = r * (1.0f / 720) + 1.0f / 120;
  p = p * r + 1.0f / 24;
  p = p * r + 1.0f / 6;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  Integers bits;
  std::memcpy(&bits, &shifted, sizeof bits);
  bits = (bits << 23) + 0x3f800000;
  Vector power;
  std::memcpy(&power, &bits, sizeof power);
  x = p * power;
}

// x = 1 / (1 + e^-x).
INLINE void sigmoid(Vector& x) {
  const Vector zero{};
  x = -x;
  x = x > 80.0f ? zero + 80.0f : x;  // where float32 is 0 or 1
  x = x < -80.0f ? zero - 80.0f : x;
  raise(x);
  x = 1.0f / (1.0f + x);
}

// x = e^x of at most 80; below -80, less than 2e-35, zero.
INLINE void exponential(Vector& x) {
  const Vector zero{};
  const auto none = x < -80.0f;
  x = none ? zero : x;
  raise(x);
  x = none ? zero : x;
}

// out(i, j) = start(i, j) + sum over k of a(i, k) b(k, j), i of ROWS rows, j of PARTS vectors. row, step: between the
// rows and the columns of a; wide: between the rows of b and of out, start_row of start. No start: zeros.
template <int ROWS, int PARTS>
INLINE void tile(const float* a, int64_t row, int64_t step, const float* b, int64_t wide, int64_t terms,
                 const float* start, int64_t start_row, float* out) {
  Vector sums[ROWS][PARTS] = {}, part[PARTS];
  if (start != nullptr)
#pragma GCC unroll 8
    for (int i = 0; i < ROWS; i++)
#pragma GCC unroll 4
      for (int j = 0; j < PARTS; j++) load(sums[i][j], start + i * start_row + j * LANES);
  for (int64_t k = 0; k < terms; k++) {
#pragma GCC unroll 4
    for (int j = 0; j < PARTS; j++) load(part[j], b + k * wide + j * LANES);
#pragma GCC unroll 8
    for (int i = 0; i < ROWS; i++)
#pragma GCC unroll 4
      for (int j = 0; j < PARTS; j++) sums[i][j] += a[i * row + k * step] * part[j];
  }
#pragma GCC unroll 8
  for (int i = 0; i < ROWS; i++)
#pragma GCC unroll 4
    for (int j = 0; j < PARTS; j++) store(out + i * wide + j * LANES, sums[i][j]);
}

// work(begin, end) of parts of 0 to size.
template <class Work>
void in_threads(int64_t size, int64_t threads, const Work& work) {
  threads = std::max<int64_t>(std::min(threads, size), 1);
  std::vector<std::thread> others;
  for (int64_t i = 1; i < threads; i++) others.emplace_back(work, size * i / threads, size * (i + 1) / threads);
  work(0, size / threads);
  for (auto& other : others) other.join();
}
