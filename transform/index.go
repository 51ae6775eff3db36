package transform

// index holds a value for each of some strings, as a map does. Most
// conversations have few people and messages, so that looking through all keys
// is faster; it becomes a map when there are many.
type index[V any] struct {
	keys   []string
	values []V
	places map[string]int // nil: few
}

const few = 16

func (x *index[V]) reset() {
	if cap(x.keys) > keepRows {
		*x = index[V]{}
	}
	x.keys, x.values, x.places = x.keys[:0], x.values[:0], nil
}

// find returns the value of a key, or nil. It is valid until the next add.
func (x *index[V]) find(key string) *V {
	if x.places != nil {
		if i, ok := x.places[key]; ok {
			return &x.values[i]
		}
		return nil
	}
	for i, k := range x.keys {
		// Ids of one system mostly have one length and differ in their last byte.
		if len(k) == len(key) && (key == "" || k[len(k)-1] == key[len(key)-1] && k == key) {
			return &x.values[i]
		}
	}
	return nil
}

// add adds a key that the index does not have yet.
func (x *index[V]) add(key string, value V) *V {
	switch {
	case x.places != nil:
		x.places[key] = len(x.keys)
	case len(x.keys) == few:
		x.places = make(map[string]int, 4*few)
		for i, k := range x.keys {
			x.places[k] = i
		}
		x.places[key] = len(x.keys)
	}
	x.keys, x.values = append(x.keys, key), append(x.values, value)
	return &x.values[len(x.values)-1]
}

// keepRows is the size up to which memory is kept for the next conversation.
const keepRows = 1 << 14

// reuse returns an empty slice, with the memory of s if that is not much.
func reuse[T any](s []T) []T {
	if cap(s) > keepRows {
		return nil
	}
	return s[:0]
}
