package ckpt

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
)

// parseIndex reads model.safetensors.index.json: for each tensor the file
// beside it that holds the tensor.
func parseIndex(b []byte) (map[string]string, error) {
	var place map[string]string
	err := walkObject(b, func(d *json.Decoder, key string) error {
		if key != "weight_map" {
			var other json.RawMessage
			return d.Decode(&other)
		}
		place = map[string]string{}
		return object(d, func(name string) error {
			var file string
			if err := d.Decode(&file); err != nil {
				return err
			}
			if !filepath.IsLocal(file) || filepath.Base(file) != file || file == "." {
				return fmt.Errorf("tensor %q: %q is no name of a file beside the index", name, file)
			}
			place[name] = file
			return nil
		})
	})
	if err == nil && len(place) == 0 {
		err = errors.New("no weight_map")
	}
	return place, err
}
