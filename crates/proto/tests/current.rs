//! The committed code must be what the generator makes.

mod generator;

#[test]
fn generated_code_is_current() {
    let out = std::env::temp_dir().join(format!("causeway-proto-{}", std::process::id()));
    std::fs::create_dir_all(&out).unwrap();
    generator::generate(&out).unwrap();
    for name in ["nacos.rs", "v1.rs"] {
        let fresh = std::fs::read_to_string(out.join(name)).unwrap();
        let committed = std::fs::read_to_string(generator::root().join("src/generated").join(name)).unwrap();
        assert!(fresh == committed, "{name}: run `cargo run -p causeway-proto --example generate`");
    }
    std::fs::remove_dir_all(&out).unwrap();
}
