package transform

// index holds a value for each of some strings, as a map does. Most
// conversations have few people and messages, so that looking through all keys
// is faster; it becomes a map when there are many.
type index[V any] struct {
	keys   []string
	tails  []uint64 // of the keys, which are looked at only if these are equal
	values []V
	places map[string]int // nil or empty: few
}

const few = 16

func (x *index[V]) reset() {
	if cap(x.keys) > keepRows {
		*x = index[V]{}
	}
	x.keys, x.tails, x.values = x.keys[:0], x.tails[:0], x.values[:0]
	clear(x.places)
}

// tail is the last bytes of a key. Ids of one system mostly differ there.
func tail(key string) (bytes uint64) {
	if len(key) >= 8 {
		return load(key[len(key)-8:])
	}
	for i := range len(key) {
		bytes = bytes<<8 | uint64(key[i])
	}
	return bytes
}

// find returns the value of a key, or nil. It is valid until the next add.
func (x *index[V]) find(key string) *V {
	if len(x.keys) > few {
		if i, ok := x.places[key]; ok {
			return &x.values[i]
		}
		return nil
	}
	end := tail(key)
	for i, t := range x.tails {
		if t == end && x.keys[i] == key {
			return &x.values[i]
		}
	}
	return nil
}

// add adds a key that the index does not have yet.
func (x *index[V]) add(key string, value V) *V {
	switch n := len(x.keys); {
	case n > few:
		x.places[key] = n
	case n == few:
		if x.places == nil {
			x.places = make(map[string]int, 4*few)
		}
		for i, k := range x.keys {
			x.places[k] = i
		}
		x.places[key] = n
	}
	x.keys, x.tails, x.values = append(x.keys, key), append(x.tails, tail(key)), append(x.values, value)
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
