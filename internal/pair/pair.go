// Package pair walks sorted lists side by side and pairs equal items: a folder on the disk with its record in a
// catalog, or the records of one folder in two or more catalogs.
//
// Lists are read item by item, so that no list has to be in memory as a whole, and no item costs an allocation. The
// lists must be sorted by the order of the given comparison; the package does not check it.
package pair

import "iter"

// Next returns the next item of a list, nil after the last. An item is valid until the following call.
type Next[T any] func() *T

// Slice returns the items of a slice, in order.
func Slice[T any](list []T) Next[T] {
	i := 0
	return func() *T {
		if i == len(list) {
			return nil
		}
		i++
		return &list[i-1]
	}
}

// Lists walks two lists in ascending order. An item in both lists comes as a pair, an item in one list only with nil
// for the other. Of several equal items in a list, each is paired with an equal item of the other list, in order.
func Lists[A, B any](a Next[A], b Next[B], compare func(a *A, b *B) int) iter.Seq2[*A, *B] {
	return func(yield func(*A, *B) bool) {
		x, y := a(), b()
		for x != nil || y != nil {
			order := 0
			switch {
			case y == nil:
				order = -1
			case x == nil:
				order = 1
			default:
				order = compare(x, y)
			}
			switch {
			case order < 0:
				if !yield(x, nil) {
					return
				}
				x = a()
			case order > 0:
				if !yield(nil, y) {
					return
				}
				y = b()
			default:
				if !yield(x, y) {
					return
				}
				x, y = a(), b()
			}
		}
	}
}

// Rows walks any number of lists in ascending order. A row has an item of each list that contains it, and nil for all
// others. The next row overwrites it.
func Rows[T any](lists []Next[T], compare func(a, b *T) int) iter.Seq[[]*T] {
	return func(yield func([]*T) bool) {
		first, row := make([]*T, len(lists)), make([]*T, len(lists))
		for i, next := range lists {
			first[i] = next()
		}
		for {
			var least *T
			for _, item := range first {
				if item != nil && (least == nil || compare(item, least) < 0) {
					least = item
				}
			}
			if least == nil {
				return
			}
			for i, item := range first {
				row[i] = nil
				if item != nil && compare(item, least) == 0 {
					row[i] = item
				}
			}
			if !yield(row) {
				return
			}
			for i := range row {
				if row[i] != nil {
					first[i] = lists[i]()
				}
			}
		}
	}
}
