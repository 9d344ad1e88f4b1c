// Package pair goes through sorted lists side by side, and brings together what belongs together: a folder on the disk
// and its record in a catalog, the records of one folder in two catalogs, or in many.
//
// A list is given item by item, so that none is ever whole in memory. Nothing is allocated for an item.
package pair

import "iter"

// Next gives the next item of a list, nil after the last. An item is valid until the following call.
type Next[T any] func() *T

// Slice gives the items of a slice.
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

// Lists goes through two lists in ascending order. What is in both comes as a pair; what is in one list only comes with
// nil for the other. Of items that one list has several times each is paired with one of the other list, in their order.
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

// Rows goes through any number of lists in ascending order. A row has an item of each list that contains it, and nil for
// each that does not. The row is overwritten by the next one.
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
