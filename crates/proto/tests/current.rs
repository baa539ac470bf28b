//! The committed code must be what the generator makes.

mod generator;

#[test]
fn generated_code_is_current() {
    let out = std::env::temp_dir().join(format!("causeway-proto-{}", std::process::id()));
    std::fs::create_dir_all(&out).unwrap();
    generator::generate(&out).unwrap();
    let fresh = std::fs::read_to_string(out.join("nacos.rs")).unwrap();
    std::fs::remove_dir_all(&out).unwrap();
    let committed = std::fs::read_to_string(generator::root().join("src/generated/nacos.rs")).unwrap();
    assert!(fresh == committed, "run `cargo run -p causeway-proto --example generate`");
}
