package causeway.testbed;

/** The service that providers offer and consumers call. */
public interface Greeter {
    /** The provider's port. */
    int port();

    String hello(String name);
}
