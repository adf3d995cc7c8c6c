package org.javatuples;

public final class Unit<A> extends Tuple {
    public Unit(A v0) {
        super(v0);
    }

    public static <A> Unit<A> with(A v0) {
        return new Unit<>(v0);
    }

    @SuppressWarnings("unchecked")
    public A getValue0() {
        return (A) getValue(0);
    }

    public <X> Unit<X> setAt0(X value) {
        return new Unit<>(value);
    }
}
