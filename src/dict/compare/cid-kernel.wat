;; The inner loop of the comparison: reads lines of a CID file, 16 hex digits at a time. src/dict/compare/cid-kernel.ts
;; uses it and describes its purpose. After a change here: npm run build:kernel
;;
;; Offsets in the memory, in bytes (cid-kernel.ts has the same numbers):
;;        0  for each of 4096 buckets the XOR of its CIDs, 32 bytes
;;   131072  for each bucket the count of its CIDs, 4 bytes
;;   147456  for each bucket a byte: 1 when its lines are wanted, 0 when they are only skipped
;;   151552  the text, then the CIDs that are kept
(module
  (import "js" "memory" (memory 3 65536 shared))

  ;; The values of 16 hex digits in upper or lower case: 0 to 15; 16 or more for any other character.
  (func $values_of (param $digits v128) (result v128)
    (i8x16.min_u
      ;; '0' to '9' become 246 to 255, then 240 to 249, then 0 to 9. All others are less than 240 before the last step.
      (i8x16.sub
        (i8x16.sub_sat_u
          (i8x16.add (local.get $digits) (i8x16.splat (i32.const 0xc6)))
          (i8x16.splat (i32.const 6)))
        (i8x16.splat (i32.const 0xf0)))
      ;; 'A' to 'F' in either case become 0 to 5, then 10 to 15. Characters below 'A' wrap, and become 202 or more.
      (i8x16.add_sat_u
        (i8x16.sub
          (v128.and (local.get $digits) (i8x16.splat (i32.const 0xdf)))
          (i8x16.splat (i32.const 0x41)))
        (i8x16.splat (i32.const 10)))))

  ;; Combines two values into a byte, the first (lower in the memory) as its higher half: 8 bytes, in two bytes each.
  (func $bytes_of (param $values v128) (result v128)
    (v128.and
      (v128.or
        (i16x8.shl (local.get $values) (i32.const 4))
        (i16x8.shr_u (local.get $values) (i32.const 8)))
      (i16x8.splat (i32.const 0xff))))

  ;; The length of the line at this place with its end: 65 with LF, 66 with CR LF, 0 when neither follows 64 characters.
  (func $line_length (param $at i32) (result i32)
    (i32.add
      (i32.mul (i32.eq (i32.load8_u offset=64 (local.get $at)) (i32.const 0x0a)) (i32.const 65))
      (i32.mul (i32.eq (i32.load16_u offset=64 align=1 (local.get $at)) (i32.const 0x0a0d)) (i32.const 66))))

  ;; Reads the lines that begin in [$at, $end), up to the first that is not a CID. Writes each wanted CID to $out, and
  ;; moves $out by $step: 32 keeps them all, 0 keeps none. Returns where it stopped, and the end of the CIDs it kept.
  (func (export "run") (param $at i32) (param $end i32) (param $out i32) (param $step i32) (result i32 i32)
    (local $length i32)
    (local $bucket i32)
    (local $place i32)
    (local $values0 v128) (local $values1 v128) (local $values2 v128) (local $values3 v128)
    (local $first v128) (local $high v128) (local $low v128)
    (block $stop
      (loop $next_line
        (br_if $stop (i32.ge_u (local.get $at) (local.get $end)))
        (local.set $length (call $line_length (local.get $at)))
        (br_if $stop (i32.eqz (local.get $length)))

        ;; The bucket: the CID's first 12 bits.
        (local.set $values0 (call $values_of (v128.load align=1 (local.get $at))))
        (local.set $first (call $bytes_of (local.get $values0)))
        (local.set $bucket
          (i32.or
            (i32.shl (i8x16.extract_lane_u 0 (local.get $first)) (i32.const 4))
            (i32.shr_u (i8x16.extract_lane_u 2 (local.get $first)) (i32.const 4))))

        (if (i32.load8_u offset=147456 (local.get $bucket))
          (then
            (local.set $values1 (call $values_of (v128.load offset=16 align=1 (local.get $at))))
            (local.set $values2 (call $values_of (v128.load offset=32 align=1 (local.get $at))))
            (local.set $values3 (call $values_of (v128.load offset=48 align=1 (local.get $at))))
            ;; Stops when one of the 64 is not a digit: then one of its four higher bits is set.
            (br_if $stop
              (v128.any_true
                (v128.and
                  (v128.or
                    (v128.or (local.get $values0) (local.get $values1))
                    (v128.or (local.get $values2) (local.get $values3)))
                  (i8x16.splat (i32.const 0xf0)))))
            (local.set $high
              (i8x16.narrow_i16x8_u (local.get $first) (call $bytes_of (local.get $values1))))
            (local.set $low
              (i8x16.narrow_i16x8_u (call $bytes_of (local.get $values2)) (call $bytes_of (local.get $values3))))

            ;; The bucket's XOR and count.
            (local.set $place (i32.mul (local.get $bucket) (i32.const 32)))
            (v128.store align=1 (local.get $place)
              (v128.xor (v128.load align=1 (local.get $place)) (local.get $high)))
            (v128.store offset=16 align=1 (local.get $place)
              (v128.xor (v128.load offset=16 align=1 (local.get $place)) (local.get $low)))
            (local.set $place (i32.mul (local.get $bucket) (i32.const 4)))
            (i32.store offset=131072 (local.get $place)
              (i32.add (i32.load offset=131072 (local.get $place)) (i32.const 1)))

            (v128.store align=1 (local.get $out) (local.get $high))
            (v128.store offset=16 align=1 (local.get $out) (local.get $low))
            (local.set $out (i32.add (local.get $out) (local.get $step)))))

        (local.set $at (i32.add (local.get $at) (local.get $length)))
        (br $next_line)))
    (local.get $at)
    (local.get $out)))
